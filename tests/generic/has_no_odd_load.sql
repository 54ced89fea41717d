{% test has_no_odd_load(model, records, shares, command='python -m ingest') %}
    {#-
        A load can be accepted, but wrong: one of the `shares` of its records is unlike that of each
        used load of the 30 days before it. A person who finds the load right accepts it.
    -#}
    {{- config(severity='warn', meta={'show_failures': true}) }}
with

shares as (

    select
        load_id,
        loaded_at,
        decision,
        share,
        records
    from {{ model }}
    unpivot (records for share in ({{ shares | join(', ') }}))
    where
        state = 'used'
        and {{ records }}_received >= {{ var('odd_loads_min_users') }}

)

select
    odd.load_id,
    odd.share,
    round(odd.records, 3) as in_this_load,
    round(avg(others.records), 3) as in_the_loads_before,
    concat('{{ command }} --accept ', odd.load_id, ', or --set-aside ', odd.load_id) as to_do
from shares as odd
inner join shares as others
    on
        odd.share = others.share
        and odd.loaded_at > others.loaded_at
        and timestamp_sub(odd.loaded_at, interval 30 day) <= others.loaded_at
where
    odd.loaded_at >= {{ var('tested_from') }}
    and odd.decision is null
group by odd.load_id, odd.share, odd.records
having min(abs(odd.records - others.records)) > {{ var('odd_share') }}
order by odd.load_id asc, odd.share asc
{% endtest %}
