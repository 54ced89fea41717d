-- depends_on: {{ ref('logins') }}
select load_id, count(rejection_reason) as rejected, count(*) as users
from {{ ref('base_users') }}
group by load_id
having rejected > 0.05 * users
