"""The compiled loops; None where the package was installed without a compiler."""

from types import ModuleType

native: ModuleType | None
try:
    from speechrec import _native
except ImportError:
    native = None
else:
    native = _native
