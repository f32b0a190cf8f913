"""Names of what the face-action estimator reads."""

UNITS = (
    "AU1", "AU2", "AU4", "AU5", "AU6", "AU7", "AU9", "AU10", "AU12", "AU15", "AU17", "AU24", "AU25", "AU26", "AU43",
)  # fmt: skip
ANGLES = ("head yaw", "head pitch", "head roll", "gaze yaw", "gaze pitch")
