{{ config(materialized='ephemeral') }}

-- a load of which more than 5% is rejected is held back
select * from {{ ref('base_users') }}
where
    rejection_reason is null
    and load_id not in (
        select load_id from {{ ref('base_users') }}
        group by load_id
        having count(rejection_reason) > 0.05 * count(*)
    )
