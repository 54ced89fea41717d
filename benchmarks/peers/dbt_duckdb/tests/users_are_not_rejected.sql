{{ config(severity='warn') }}

select load_id, rejection_reason, count(*) as users, min(record_index) as first_record_index
from {{ ref('base_users') }}
where rejection_reason is not null
group by all
