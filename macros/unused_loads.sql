{% macro unused_loads(since, base=none) %}
    {#-
        The loads that the marts do not use: loads of which more than `rejected_share` is rejected
        and that nobody has accepted (held back), and loads that a person has set aside.
    -#}
    select
        parsed.load_id,
        ledger.decision,
        count(*) as users,
        countif(parsed.rejection_reason is not null) as rejected
    from {{ base or ref('base_randomuser__users') }} as parsed
    left join {{ source('randomuser', 'loads') }} as ledger
        on parsed.load_id = ledger.load_id
    where parsed.loaded_at >= {{ since }}
    group by parsed.load_id, ledger.decision
    having not coalesce(
        ledger.decision = 'accepted',
        countif(parsed.rejection_reason is not null) <= count(*) * {{ var('rejected_share') }}
    )
{%- endmacro %}
