{% snapshot users_history %}

-- only users that landed since the newest known version, less the look-back
select * from {{ ref('users') }}
where loaded_at >= {{ lookback_start() }}

{% endsnapshot %}
