{% macro unused_loads(since) %}
    {#-
        The loads that the marts do not use: those of which more than `rejected_share` is rejected,
        unless somebody has accepted them, and those that somebody has set aside.
    -#}
    select
        users.load_id,
        loads.decision,
        count(*) as users,
        countif(users.rejection_reason is not null) as rejected
    from {{ ref('base_randomuser__users') }} as users
    left join {{ source('randomuser', 'loads') }} as loads
        on users.load_id = loads.load_id
    where users.loaded_at >= {{ since }}
    group by users.load_id, loads.decision
    having not coalesce(
        loads.decision = 'accepted',
        countif(users.rejection_reason is not null) <= count(*) * {{ var('rejected_share') }}
    )
{%- endmacro %}
