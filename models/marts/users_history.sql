{#- The readers of the view may not read the restricted dataset: it is authorized there. -#}
{%- set authorizing = [{'project': target.project, 'dataset': target.schema ~ '_restricted'}]
    if var('readers') and target.name == 'prod' else [] -%}
{{
    config(
        materialized='view',
        contract={'enforced': false},
        meta={'pruned_by': none},
        grants=grants_to('readers'),
        grant_access_to=authorizing,
    )
}}

{%- set checked = [
    'location_id', 'gender', 'title', 'first_name', 'last_name', 'nationality', 'identity_name',
    'identity_value', 'born_on', 'email', 'phone', 'cell_phone', 'picture_url', 'registered_at'
] %}

with

-- of two versions in one load, the later position counts, as in `users`
versions as (

    select
        *,
        to_json_string(struct({{ checked | join(', ') }})) as checked
    from {{ ref('stg_randomuser__users') }}
    where
        load_id in (
            select loads.load_id from {{ ref('loads') }} as loads
            where loads.state = 'used'
        )
    qualify row_number() over (partition by user_id, load_id order by record_index desc) = 1

),

compared as (

    select
        *,
        lag(checked) over (partition by user_id order by loaded_at, load_id) as checked_before
    from versions

),

changed as (

    select
        *,
        lead(loaded_at) over (partition by user_id order by loaded_at, load_id) as valid_to
    from compared
    where checked_before is null or checked != checked_before

)

select
    user_id,
    loaded_at as valid_from,
    valid_to,
    valid_to is null as is_current,
    * except (user_id, record_index, checked, checked_before, valid_to)
from changed
