{{ config(materialized='view', contract={'enforced': false}, meta={'pruned_by': none}) }}

select day
from unnest(generate_date_array('2000-01-01', current_date())) as day
