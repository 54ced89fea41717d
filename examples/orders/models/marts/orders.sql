{{
    config(
        unique_key='order_id',
        cluster_by=['order_id'],
        grants=grants_to('readers'),
    )
}}

{{ newest_rows(ref('stg_orders__orders'), 'order_id', ref('orders_loads')) }}
