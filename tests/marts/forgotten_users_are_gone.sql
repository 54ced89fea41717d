-- A load or a build that ran while users were forgotten may have written them again: run the
-- command that forgot them again. In other tables than these a user alone breaks a relationship,
-- which is tested there.
{{ config(meta={'show_failures': true}) }}

with

forgotten as (

    select * from {{ source('randomuser', 'forgotten') }}

),

written as (

    select
        'base_randomuser__users' as table_name,
        {{ user_hash('user_id', 'randomuser') }} as user_hash
    from {{ ref('base_randomuser__users') }}
    where loaded_at >= {{ var('tested_from') }}

)

select
    table_name,
    count(*) as users
from written
where user_hash in (select forgotten.user_hash from forgotten)
group by table_name
order by table_name
