-- No mart has the rejected users: this warning counts them for each load and reason.
{{ config(severity='warn', meta={'show_failures': true}) }}

select
    load_id,
    rejection_reason,
    count(*) as users,
    min(record_index) as first_record_index
from {{ ref('stg_randomuser__rejected') }}
where loaded_at >= {{ var('tested_from') }}
group by load_id, rejection_reason
order by load_id asc, users desc, rejection_reason asc
