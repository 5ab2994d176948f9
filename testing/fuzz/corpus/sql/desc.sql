DESC "order"
