-- No mart has the rejected users: this warning names them for each used load of the last days. A
-- load that is held back has a test of its own.
{{ config(severity='warn', meta={'show_failures': true}) }}

select
    load_id,
    users_rejected as users,
    rejection_reasons as reasons
from {{ ref('loads') }}
where
    users_rejected > 0
    and state = 'used'
    and loaded_at >= {{ var('tested_from') }}
order by load_id
