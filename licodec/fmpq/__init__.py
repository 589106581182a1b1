"""FMPQ: the widths of a network's weights, searched under a size target.

"Fractional change of RD-loss, mixed-precision quantization": zeta_n(b) is how much the
rate-distortion loss on calibration pictures changes, as a fraction, when only layer n is
quantized to b bits.

    layers        the kinds of layers that have a width
    replay        a module run again from the recording of its float run
    sensitivity   zeta_n(b), with what lies before layer n computed once
    curves        zeta of every layer, each value measured when it is first needed
    allocation    from curves and a size to a plan: the published rule, a greedy one, uniform bits
    search        one network's search for a plan
    state         what was measured, in a file, so that a search can be resumed
    packing       a network and its plan made into a weights pack

`curves`, `allocation` and `state` are plain Python; the others import torch.
"""
