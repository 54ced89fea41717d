-- depends_on: {{ ref('logins') }}
select load_id from {{ ref('base_users') }}
group by load_id
having count(rejection_reason) > 0.05 * count(*)
