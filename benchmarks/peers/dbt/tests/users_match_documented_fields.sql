{{ config(severity='warn') }}

select array_to_string({{ names_in('payload') }}, ' ') as names, count(*) as users
from {{ source('randomuser', 'users') }}
group by names
having names != 'gender name title first last location street number name city state country '
    || 'postcode coordinates latitude longitude timezone offset description email login uuid '
    || 'username password salt md5 sha1 sha256 dob date age registered date age phone cell '
    || 'id name value picture large medium thumbnail nat'
