"""What a document says about itself: title, language, period. Pure. Door: `document_metadata`."""
