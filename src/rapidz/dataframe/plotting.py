"""Live plots of streaming frames: a stream of HoloViews, or a pane of Panel, that follows one."""

from __future__ import annotations

from rapidz.dataframe.frames.plotting import buffer, pane

__all__ = ["buffer", "pane"]
