"""licodec beside other codecs on the same pictures: sizes, quality, and a page to look at them.

matching    the setting of a codec that is nearest to a size or a quality
codecs      the other codecs: JPEG, WebP, AVIF, JPEG XL
measures    PSNR, MS-SSIM, SSIMULACRA 2
crops       which part of a picture is shown
comparison  a picture at several d, each beside the other codecs
figures     all measurements as rows, means and JSON
plots       rate-distortion curves as SVG
page        everything as one HTML file
"""
