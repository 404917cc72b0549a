"""Pages that flowkit draws itself: phrases, handwriting, typesetting, whole pages."""
