{%- set since = "timestamp_sub(current_timestamp(), interval 30 day)" -%}
{#- The readers of the view may not read the datasets that it reads: it is authorized there. -#}
{%- set authorizing = [] -%}
{%- for dataset in [env_var('RAW_DATASET', 'raw_randomuser'), target.schema ~ '_restricted']
    if var('readers') and target.name == 'prod' -%}
    {%- do authorizing.append({'project': target.project, 'dataset': dataset}) -%}
{%- endfor -%}
{{
    config(
        materialized='view',
        contract={'enforced': false},
        meta={'pruned_by': none},
        grants=grants_to('readers'),
        grant_access_to=authorizing,
    )
}}

with

ledger as (

    select * from {{ source('randomuser', 'loads') }}
    where loaded_at >= {{ since }}

),

parsed as (

    select
        load_id,
        count(*) as users,
        countif(rejection_reason is not null) as rejected
    from {{ ref('base_randomuser__users') }}
    where loaded_at >= {{ since }}
    group by load_id

),

unused as (

    {{ unused_loads(since) }}

),

latest as (

    select
        load_id,
        count(*) as users
    from {{ ref('users') }}
    where loaded_at >= {{ since }}
    group by load_id

)

select
    ledger.load_id,
    ledger.source,
    ledger.started_at,
    ledger.loaded_at,
    timestamp_diff(ledger.loaded_at, ledger.started_at, millisecond) / 1000 as seconds,
    ledger.users_landed,
    parsed.rejected as users_rejected,
    coalesce(latest.users, 0) as users_in_marts,
    if(unused.load_id is null, parsed.users - parsed.rejected - coalesce(latest.users, 0), 0)
        as users_superseded,
    case
        when parsed.load_id is null then 'not built'
        when unused.load_id is null then 'used'
        else coalesce(unused.decision, 'held back')
    end as state
from ledger
left join parsed
    on ledger.load_id = parsed.load_id
left join unused
    on ledger.load_id = unused.load_id
left join latest
    on ledger.load_id = latest.load_id
