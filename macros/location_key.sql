{% macro location_key(columns) %}
    {#-
        The key of an address. The columns are put into JSON before they are hashed, so that no
        comma, dash or missing part makes two addresses one: dbt_utils.generate_surrogate_key
        joins with dashes, and streets have dashes. Case and outer spaces do not count.
    -#}
    case
        when coalesce({{ columns | join(', ') }}) is not null
            then to_hex(sha256(to_json_string(struct(
                {% for column in columns -%}
                lower(trim({{ column }})) as {{ column }}{{ ',' if not loop.last }}
                {% endfor %}
            ))))
    end
{%- endmacro %}
