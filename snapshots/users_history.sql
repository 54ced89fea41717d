{% snapshot users_history %}

-- those alone that a load has touched since the last version that is known
select * from {{ ref('users') }}
where loaded_at >= {{ lookback_start() }}

{% endsnapshot %}
