"""The widgets of the screens. Door: `document_table`."""
