select * from (
    select load_id, count(*) as landed from {{ source('randomuser', 'users') }}
    group by load_id
) as landed
full join {{ source('randomuser', 'loads') }} as loads on landed.load_id = loads.load_id
where coalesce(landed != users_asked, true)
