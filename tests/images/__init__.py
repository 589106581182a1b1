"""Pictures that Pillow does not write: one test file a family of formats."""
