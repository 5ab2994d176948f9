/* a comment */ SELECT 1 -- another
