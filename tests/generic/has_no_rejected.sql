{% test has_no_rejected(model, records) %}
    {#-
        No mart has the rejected records: this warning names them for each used load of the last
        days. A load that is held back has a test of its own.
    -#}
    {{- config(severity='warn', meta={'show_failures': true}) }}
select
    load_id,
    {{ records }}_rejected as {{ records }},
    rejection_reasons as reasons
from {{ model }}
where
    {{ records }}_rejected > 0
    and state = 'used'
    and loaded_at >= {{ var('tested_from') }}
order by load_id
{% endtest %}
