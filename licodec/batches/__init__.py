"""A folder of files into a mirrored folder, so that it can be stopped, changed and done again.

    selection  which files of the folder are meant
    sources    finding them, and what is passed over
    names      an output's name for each
    content    what a file holds: SHA-256, and what saves reading it again
    manifest   what has been made of what, in a file beside the outputs
    plan       what is to be done with each source, and why
    work       making one output, in a worker process
    workers    the processes
    running    all of it together

Nothing here knows pictures or .lic files: `work.Converter` is what makes an output. An output
that this did not make is never replaced without being told to.
"""
