{% test has_few_rejected(model, records, last_mart, command='python -m ingest') %}
    {#-
        A few bad records are rejected and the load is used. If many are rejected, the load itself
        may be wrong: it is held back from the marts until a person decides, whatever its age. Other
        loads are used: a failed test makes `dbt build` skip what depends on all the tested models,
        and nothing depends on `last_mart`.
    -#}
    {{- config(
        severity=var('held_back_loads'), meta={'show_failures': true, 'held_back': true}
    ) }}
-- depends_on: {{ last_mart }}
select
    load_id,
    {{ records }}_rejected as rejected,
    {{ records }}_received as {{ records }},
    round({{ records }}_rejected / {{ records }}_received, 4) as rejected_share,
    rejection_reasons as reasons,
    concat('{{ command }} --accept ', load_id, ', or --set-aside ', load_id) as to_do
from {{ model }}
where state = 'held back'
order by load_id
{% endtest %}
