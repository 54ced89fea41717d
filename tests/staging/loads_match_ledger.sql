-- A load lands completely or not at all: what was received is in raw, as many rows as the ledger
-- records, or belongs to forgotten users; and each load in raw has a row in the ledger.
with

landed as (

    select
        load_id,
        count(*) as users_in_raw
    from {{ source('randomuser', 'users') }}
    where loaded_at >= {{ var('tested_from') }}
    group by load_id

),

loads as (

    select * from {{ source('randomuser', 'loads') }}
    where loaded_at >= {{ var('tested_from') }}

)

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
    coalesce(coalesce(landed.users_in_raw, 0) != loads.users_landed, true)
    or loads.users_landed + coalesce(loads.users_forgotten, 0) != loads.users_received
    or loads.users_received != loads.users_asked
