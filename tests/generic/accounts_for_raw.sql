{% test accounts_for_raw(model, records, accepted, key, marts) %}
    {#-
        No record is lost silently: each record of a load is accepted or rejected; each of the
        `marts` has each `key` of the used loads once, in the version that landed last, so the
        counts agree for the rows since any point in time. Forgetting a person changes what has
        landed, not what was counted. `accepted`: the accepted records.
    -#}
    {%- set since = oldest_start() if var('dev_days') else var('tested_from') %}
with

loads as (

    select * from {{ model }}
    where loaded_at >= {{ oldest_start() }}

),

-- what landed after base was built is next
built as (

    select timestamp_sub(max(loaded_at), interval {{ var('lookback_hours') }} hour) as since
    from loads
    where built_at is not null

),

landed as (

    select count(distinct {{ key }}) as records
    from {{ accepted }}
    where
        loaded_at >= {{ since }}
        and load_id in (
            select used.load_id from loads as used
            where used.state = 'used'
        )

),

marts as (

    {% for mart in marts -%}
    select
        'in {{ mart.identifier }}' as mart,
        count(*) as records
    from {{ mart }}
    where loaded_at >= {{ since }}
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

compared as (

    select
        'accepted or rejected' as {{ records }},
        loads.load_id,
        loads.{{ records }}_landed as expected,
        coalesce(loads.{{ records }}_accepted + loads.{{ records }}_rejected, 0) as found
    from loads
    cross join built
    where
        not coalesce(
            loads.{{ records }}_accepted + loads.{{ records }}_rejected
            between loads.{{ records }}_landed and loads.{{ records }}_received,
            false
        )
        and loads.state != 'expired'
        and (loads.built_at is not null or loads.loaded_at < built.since)

    union all

    select
        marts.mart as {{ records }},
        cast(null as string) as load_id,
        landed.records as expected,
        marts.records as found
    from marts
    cross join landed

)

select * from compared
where expected != found
{% endtest %}
