"""What is compiled; everything else about the package stands in pyproject.toml."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "speechrec._native",
            ["speechrec/_native.c"],
            depends=["speechrec/_mel_energies.h"],
            # Not to round a product and a sum in one: the same numbers on every processor.
            extra_compile_args=["-O3", "-ffp-contract=off"],
            # Where there is no compiler the package does without, slower.
            optional=True,
        )
    ]
)
