"""What an NVIDIA GPU need not do for a network whose weights never change. Knows modules. Knows no precisions."""
