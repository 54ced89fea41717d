{{ loads_of('orders', 'orders') }}
