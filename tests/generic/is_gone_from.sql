{% test is_gone_from(model, base, source_name, records, person) %}
    {#-
        A load or a build that ran while people were forgotten may have written them again: run the
        command that forgot them again. In a mart a forgotten person alone breaks a relationship or
        the count of `accounts_for_raw`.
    -#}
    {{- config(meta={'show_failures': true}) }}
with

forgotten as (

    select * from {{ model }}

),

written as (

    select
        '{{ base.identifier }}' as table_name,
        {{ user_hash(person, source_name) }} as user_hash
    from {{ base }}
    where loaded_at >= {{ var('tested_from') }}

)

select
    table_name,
    count(*) as {{ records }}
from written
where user_hash in (select forgotten.user_hash from forgotten)
group by table_name
order by table_name
{% endtest %}
