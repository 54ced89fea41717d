-- A load lands completely or not at all: what was received is in raw, as many rows as the ledger
-- records, or belongs to forgotten users; and each load in raw has a row in the ledger.
{{ config(meta={'show_failures': true}) }}
{%- set hours = var('lookback_hours') %}

with

landed as (

    select
        load_id,
        count(*) as users_in_raw,
        max(loaded_at) as landed_at
    from {{ source('randomuser', 'users') }}
    where loaded_at >= {{ var('tested_from') }}
    group by load_id

),

loads as (

    select * from {{ source('randomuser', 'loads') }}

)

-- nothing depends on the last mart, so that no model is skipped because of a load that died
-- depends_on: {{ ref('logins') }}
select
    landed.load_id,
    loads.load_id as load_id_in_ledger,
    landed.users_in_raw,
    loads.users_landed,
    loads.users_forgotten,
    loads.users_received,
    loads.users_asked
from landed
full outer join loads
    on landed.load_id = loads.load_id
where
    (landed.load_id is not null or loads.started_at >= {{ var('tested_from') }})
    and (
        -- a load that lands now gets its row in the ledger after its users
        (
            loads.load_id is null
            and landed.landed_at < timestamp_sub(current_timestamp(), interval {{ hours }} hour)
        )
        or coalesce(landed.users_in_raw, 0) != loads.users_landed
        or loads.users_landed + coalesce(loads.users_forgotten, 0) != loads.users_received
        or loads.users_received != loads.users_asked
    )
