"""What code written for the old libraries, rapidz 0.2.2 and streamz 0.6.6, relies on."""
