"""Event-time windows of frames: final rows once the watermark has passed a window."""
