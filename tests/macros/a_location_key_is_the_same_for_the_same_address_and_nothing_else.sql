-- Users live where their key says: a key that two addresses share would merge them into one.
with

addresses as (

    select
        what,
        street,
        city
    from
        unnest([
            struct('as it is' as what, 'High-Street' as street, 'Town' as city),
            struct('case and outer spaces', ' high-STREET ', 'town'),
            struct('moved dash', 'High', 'Street-Town'),
            struct('empty', 'High-Street', ''),
            struct('missing', 'High-Street', cast(null as string)),
            struct('nothing', cast(null as string), cast(null as string))
        ])

),

keyed as (

    select
        what,
        {{ location_key(['street', 'city']) }} as location_id
    from addresses

),

as_it_is as (

    select location_id from keyed
    where what = 'as it is'

)

select
    keyed.what,
    keyed.location_id
from keyed
cross join as_it_is
where
    (keyed.what in ('as it is', 'case and outer spaces'))
    != coalesce(keyed.location_id = as_it_is.location_id, false)
    or (keyed.what = 'nothing') != (keyed.location_id is null)
