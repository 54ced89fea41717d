{% snapshot users_history %}

{{
    config(
        grants=grants_to('readers'),
        persist_docs={'columns': var('policy_tags') | length > 0},
    )
}}

-- only users that landed since the newest known version, less the look-back
select * from {{ ref('users') }}
where loaded_at >= {{ lookback_start() }}

{% endsnapshot %}
