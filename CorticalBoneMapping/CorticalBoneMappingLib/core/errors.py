"""What can go wrong, as sentences that a radiographer understands.

Every error a user can cause derives from `CorticalBoneMappingError`; its text names the file or the
value and says what to do. Anything else that is raised is a fault of the program.
"""


class CorticalBoneMappingError(Exception):
    """Base of every error whose text is meant for the user."""


class VolumeError(CorticalBoneMappingError):
    """A CT or label map cannot be read, or its geometry cannot be trusted."""


class CalibrationError(CorticalBoneMappingError):
    """The conversion from HU to density cannot be made."""


class SurfaceError(CorticalBoneMappingError):
    """A mask or a surface is not one closed bone."""


class SegmentationError(CorticalBoneMappingError):
    """The femur cannot be found in, or separated in, a CT."""


class MeasurementError(CorticalBoneMappingError):
    """The cortex cannot be measured with these settings on these data."""


class RegistrationError(CorticalBoneMappingError):
    """A femur cannot be brought onto the average femur."""


class TableError(CorticalBoneMappingError):
    """A table that a person wrote cannot be read, or not for certain."""


class StatisticsError(CorticalBoneMappingError):
    """A study's table, design or maps do not allow the analysis that was asked for."""


class SettingError(CorticalBoneMappingError):
    """A setting has a value outside its bounds."""


class DrawingError(CorticalBoneMappingError):
    """Pictures cannot be drawn on this machine; what they show is not harmed."""


class Cancelled(CorticalBoneMappingError):
    """The user asked to stop."""

    def __init__(self) -> None:
        super().__init__("Cancelled: nothing was written.")
