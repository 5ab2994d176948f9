SELECT 'it''s " [x] `y
