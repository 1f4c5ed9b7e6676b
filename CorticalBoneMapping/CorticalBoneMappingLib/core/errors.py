"""What can go wrong, as sentences that a radiographer understands.

Every error a user can cause derives from `CorticalBoneMappingError`; its text names the file or the
value and says what to do. Anything else that is raised is a fault of the program.
"""


class CorticalBoneMappingError(Exception):
    """Base of every error whose text is meant for the user."""


class VolumeError(CorticalBoneMappingError):
    """A CT or label map is unreadable, or its geometry is unreliable."""


class CalibrationError(CorticalBoneMappingError):
    """The conversion from HU to density failed."""


class SurfaceError(CorticalBoneMappingError):
    """A mask or a surface is not one closed bone."""


class SegmentationError(CorticalBoneMappingError):
    """The femur was not found in a CT, or not separated from other bone."""


class MeasurementError(CorticalBoneMappingError):
    """The cortex is not measurable with these settings on these data."""


class RegistrationError(CorticalBoneMappingError):
    """The registration of a femur to the average femur failed."""


class TableError(CorticalBoneMappingError):
    """A table that a person wrote is unreadable or ambiguous."""


class StatisticsError(CorticalBoneMappingError):
    """A study's table, design or maps do not allow the requested analysis."""


class SettingError(CorticalBoneMappingError):
    """A setting has a value outside its bounds."""


class DrawingError(CorticalBoneMappingError):
    """Drawing failed on this machine; the results that a picture would show are complete."""


class Cancelled(CorticalBoneMappingError):
    """The user cancelled."""

    def __init__(self) -> None:
        super().__init__("Cancelled: nothing was written.")
