-- A load can be accepted, but wrong: shares of its users are compared with the mean of the used
-- loads of the 30 days before it. A person who finds the load right accepts it.
{{ config(severity='warn', meta={'show_failures': true}) }}

with

shares as (

    select
        loads.load_id,
        loads.loaded_at,
        loads.decision,
        measured.share,
        measured.value
    from {{ ref('loads') }} as loads
    cross join unnest([
        struct('incomplete users' as share, loads.incomplete_share as value),
        struct('female users' as share, loads.female_share as value),
        struct('most common nationality' as share, loads.nationality_share as value),
        struct('most common e-mail domain' as share, loads.email_domain_share as value)
    ]) as measured
    where
        loads.state = 'used'
        and loads.users_received >= {{ var('odd_loads_min_users') }}

)

select
    odd.load_id,
    odd.share,
    round(odd.value, 3) as in_this_load,
    round(avg(others.value), 3) as in_the_loads_before,
    'python -m ingest --accept LOAD_ID, or --set-aside LOAD_ID' as to_do
from shares as odd
inner join shares as others
    on
        odd.share = others.share
        and odd.loaded_at > others.loaded_at
        and timestamp_sub(odd.loaded_at, interval 30 day) <= others.loaded_at
where
    odd.loaded_at >= {{ var('tested_from') }}
    and odd.decision is null
group by odd.load_id, odd.share, odd.value
having abs(odd.value - avg(others.value)) > {{ var('odd_share') }}
order by odd.load_id asc, odd.share asc
