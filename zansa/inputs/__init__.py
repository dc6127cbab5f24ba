"""WHAT COMES IN: files of images and series, read and drawn without torch; learning and use read them alike."""
