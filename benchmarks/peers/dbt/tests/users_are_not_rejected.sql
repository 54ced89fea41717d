{{ config(severity='warn') }}

select load_id, rejection_reason, count(*) as users from {{ ref('base_users') }}
where rejection_reason is not null
group by load_id, rejection_reason
