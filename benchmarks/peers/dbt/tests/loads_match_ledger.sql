with landed as (
    select load_id, count(*) as users from {{ source('randomuser', 'users') }} group by load_id
)

select landed.users, loads.users_asked
from landed
full join {{ source('randomuser', 'loads') }} as loads on landed.load_id = loads.load_id
where coalesce(landed.users != loads.users_asked, true)
