"""Every error of Abut. Each is also the built-in exception that a caller would expect."""


class AbutError(Exception):
    """Base of all errors that Abut raises on purpose; the message is one line that names the file or value."""


class InvalidSafeError(AbutError, ValueError):
    """A SAFE product can't be ingested: broken, incomplete, hostile, or not Level-1C."""


class InvalidTileError(AbutError, KeyError):
    """A tile id is not in the Sentinel-2 tiling grid."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class InvalidWindowError(AbutError, ValueError):
    """A box, geometry, buffer or coordinate system is no window of the ground that can be read."""


class InvalidPeriodError(AbutError, ValueError):
    """A text or value is no period of time."""


class InvalidArchiveError(AbutError, ValueError):
    """A location is not an archive, or one that this version can't use."""


class NewerCatalogueError(InvalidArchiveError):
    """A catalogue was made, or upgraded, by a newer version than this one."""


class UnsupportedStoreError(AbutError, OSError):
    """A store lacks what a writer needs: locks, create-only or conditional writes."""


class ProductNotFoundError(AbutError, KeyError):
    """An archive has no product of this id (or it was withdrawn and purged)."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class DuplicateProductError(AbutError, ValueError):
    """The same pixels are in the archive already, under another product id."""


class DigestMismatchError(AbutError, ValueError):
    """Pixels or bytes differ from the digest recorded at ingest."""


class MissingObjectError(AbutError, FileNotFoundError):
    """An object that the ledger says is held is not in the store."""


class ConflictError(AbutError, RuntimeError):
    """Another writer changed an object first; the operation can be tried again."""


class ExportError(AbutError, OSError):
    """Something can't be written out: the target exists, the disk is full, or what was written reads back unequal."""


class BadRequestError(AbutError, ValueError):
    """What a client asked for has no meaning, or what it sent can't be stored; the message quotes the value."""


class CatalogueError(AbutError, OSError):
    """A catalogue can't be reached, or refuses; what the archive itself holds is not concerned."""


class MixedBaselinesError(AbutError, ValueError):
    """What has to be one step in time can't: products of one datatake differ in offset or quantification value."""


class SourceError(AbutError, OSError):
    """A SAFE that lies elsewhere can't be fetched: nothing is there, access is denied, or its address is no good."""


class SourceUnavailableError(SourceError):
    """A SAFE that lies elsewhere can't be fetched for now: its server is away, busy, or broke off."""


class NoDataError(AbutError, LookupError):
    """No product was found for a request; the message names window, period and filters."""


class TooLargeError(AbutError, ValueError):
    """A request would give more than its limit permits."""


class MixedBaselinesWarning(UserWarning):
    """Products of one datatake (or solar day) differ in offset or quantification value, and are several steps."""


class OlderVersionWarning(UserWarning):
    """An older version of a strip has tiles that the chosen one lacks; a view never mixes them."""
