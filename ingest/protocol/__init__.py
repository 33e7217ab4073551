"""What parser and recogniser send, and its checks. Nothing that a child sends is trusted. Door: `page_decoder`."""
