{{ rejected_of('orders', 'orders') }}
