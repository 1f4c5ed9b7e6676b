"""What group statistics are worth: errors under the null, power, speed, and agreement with other programs."""
